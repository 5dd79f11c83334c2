"""Writes USDZ without the USD library: a text layer and its texture in an uncompressed zip with 64-byte alignment.

The package layout is that of Pixar's "USDZ File Format Specification": stored entries only, the default layer first,
every file's data at a multiple of 64 bytes.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from typing import BinaryIO

import numpy as np

from nerf2mesh.mesh.color_space import srgb_to_linear
from nerf2mesh.mesh.export.gltf import png_bytes
from nerf2mesh.mesh.export.skin import Skin
from nerf2mesh.mesh.export.usd_skel import binding_lines, clock_of, extent_of, skeleton_lines
from nerf2mesh.mesh.export.usd_text import samples, time_codes, tuples
from nerf2mesh.mesh.track import VertexTrack
from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.rights import Record
from nerf2mesh.rights.containers import RECORD_NAME, SEAL_NAME, usd_string
from nerf2mesh.rights.seal import BLANK

ALIGNMENT = 64
EPOCH = (1980, 1, 1, 0, 0, 0)


def write_usdz(
    mesh: TriangleMesh,
    stream: BinaryIO,
    record: Record | None = None,
    track: VertexTrack | None = None,
    skin: Skin | None = None,
    scale: float = 1.0,
) -> None:
    """Writes a mesh whose axes are already +Y up, +Z front; the record, in customLayerData, is not sealed yet.

    track: how the vertices move, in the same axes, as time samples; time codes count frames.
    skin: the skeleton that moves it (`usd_skel`), in world axes and units, of which one is `scale` metres.
    """
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        textured = mesh.texture is not None and mesh.uv is not None
        _store(archive, "mesh.usda", _layer(mesh, textured, record, track, skin, scale).encode())
        if mesh.texture is not None and mesh.uv is not None:
            _store(archive, "textures/base_color.png", png_bytes(mesh.texture))
            if mesh.normal_map is not None:
                _store(archive, "textures/normal.png", png_bytes(mesh.normal_map))
            if mesh.orm is not None:
                _store(archive, "textures/occlusion_roughness_metallic.png", png_bytes(mesh.orm))


def _store(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, EPOCH)
    # A local header is 30 bytes, the name and an extra field (4 bytes of header, then the padding).
    assert archive.fp is not None
    start = archive.fp.tell() + 30 + len(name) + 4
    padding = -start % ALIGNMENT
    info.extra = b"\x86\x19" + padding.to_bytes(2, "little") + b"\0" * padding
    archive.writestr(info, data)


def _layer(
    mesh: TriangleMesh,
    textured: bool,
    record: Record | None,
    track: VertexTrack | None,
    skin: Skin | None,
    scale: float,
) -> str:
    data = (
        []
        if record is None
        else [
            "    customLayerData = {",
            f"        string {RECORD_NAME} = {usd_string(record.text())}",
            f"        string {SEAL_NAME} = {usd_string(BLANK)}",
            "    }",
        ]
    )
    return "\n".join(
        [
            "#usda 1.0",
            "(",
            *data,
            '    defaultPrim = "Root"',
            '    doc = "nerf2mesh: +Y up, +Z front"',
            *_clock(track, skin),
            "    metersPerUnit = 1",
            '    upAxis = "Y"',
            ")",
            "",
            f'def {"Xform" if skin is None else "SkelRoot"} "Root" (kind = "component")',
            "{",
            *([] if skin is None else [f"    float3[] extent = [{tuples(extent_of(mesh, skin, scale))}]"]),
            *_mesh_prim(mesh, textured, track, skin),
            *([] if skin is None else skeleton_lines(skin, scale)),
            *_material_prim(mesh, textured),
            "}",
            "",
        ]
    )


def _clock(track: VertexTrack | None, skin: Skin | None) -> list[str]:
    """Time codes count frames; USD's default of 24 a second is never meant."""
    clock = None if skin is None else clock_of(skin)
    if track is not None:
        clock = track.rate, time_codes(track.times_s, track.rate)[-1]
    if clock is None:
        return []
    rate, last = f"{clock[0]:.9g}", f"{clock[1]:.9g}"
    named = {"endTimeCode": last, "framesPerSecond": rate, "startTimeCode": "0", "timeCodesPerSecond": rate}
    return [f"    {name} = {value}" for name, value in named.items()]


def _samples(name: str, track: VertexTrack, rows: Callable[[np.ndarray], np.ndarray]) -> list[str]:
    """An attribute's time samples: `rows` of the positions of each frame."""
    return samples(name, time_codes(track.times_s, track.rate), map(rows, track.positions))


def _moving(mesh: TriangleMesh, track: VertexTrack) -> list[str]:
    """Extent, points and normals in time."""
    return [
        *_samples("float3[] extent", track, lambda frame: TriangleMesh(frame, mesh.faces).bounds),
        *_samples("point3f[] points", track, lambda frame: frame),
        *_samples("normal3f[] normals", track, lambda frame: TriangleMesh(frame, mesh.faces).normals),
    ]


def _mesh_prim(mesh: TriangleMesh, textured: bool, track: VertexTrack | None, skin: Skin | None) -> list[str]:
    schemas = '"MaterialBindingAPI"' if skin is None else '"MaterialBindingAPI", "SkelBindingAPI"'
    lines = [
        f'    def Mesh "Mesh" (prepend apiSchemas = [{schemas}])',
        "    {",
        f"        float3[] extent = [{tuples(mesh.bounds)}]",
        f"        uniform bool doubleSided = {int(not mesh.is_watertight)}",
        '        uniform token subdivisionScheme = "none"',
        f"        int[] faceVertexCounts = [{', '.join(['3'] * mesh.n_faces)}]",
        f"        int[] faceVertexIndices = [{', '.join(map(str, mesh.faces.reshape(-1).tolist()))}]",
        f"        point3f[] points = [{tuples(mesh.vertices)}]",
        f'        normal3f[] normals = [{tuples(mesh.normals)}] (interpolation = "vertex")',
        "        rel material:binding = </Root/Material>",
        *([] if track is None else _moving(mesh, track)),
        *([] if skin is None else binding_lines(skin)),
    ]
    if textured and mesh.uv is not None:
        uv, index = np.unique(mesh.uv.reshape(-1, 2), axis=0, return_inverse=True)
        lines.append(f'        texCoord2f[] primvars:st = [{tuples(uv)}] (interpolation = "faceVarying")')
        lines.append(f"        int[] primvars:st:indices = [{', '.join(map(str, index.reshape(-1).tolist()))}]")
    elif mesh.vertex_colors is not None:
        colors = srgb_to_linear(mesh.vertex_colors)
        lines.append(f'        color3f[] primvars:displayColor = [{tuples(colors)}] (interpolation = "vertex")')
    return [*lines, "    }"]


def _material_prim(mesh: TriangleMesh, textured: bool) -> list[str]:
    color = "color3f inputs:diffuseColor = (0.6, 0.6, 0.6)"
    shaders: list[str] = []
    if textured:
        color = "color3f inputs:diffuseColor.connect = </Root/Material/Texture.outputs:rgb>"
        shaders = _shader(
            "Texture",
            "UsdUVTexture",
            "asset inputs:file = @./textures/base_color.png@",
            'token inputs:sourceColorSpace = "sRGB"',
            'token inputs:wrapS = "repeat"',
            'token inputs:wrapT = "repeat"',
            "float2 inputs:st.connect = </Root/Material/Coordinates.outputs:result>",
            "float3 outputs:rgb",
        )
        shaders += _reader("float2", "st")
        if mesh.normal_map is not None:
            shaders += _normal_texture()
    elif mesh.vertex_colors is not None:
        color = "color3f inputs:diffuseColor.connect = </Root/Material/Coordinates.outputs:result>"
        shaders = _reader("float3", "displayColor")
    values = [f"float inputs:metallic = {mesh.metallic:g}", f"float inputs:roughness = {mesh.roughness:g}"]
    if textured and mesh.orm is not None:
        packed = "</Root/Material/PackedTexture.outputs:"
        named = (("occlusion", "r"), ("roughness", "g"), ("metallic", "b"))
        values = [f"float inputs:{name}.connect = {packed}{channel}>" for name, channel in named]
        shaders += _packed_texture()
    surface = [*values, color, "token outputs:surface"]
    if textured and mesh.normal_map is not None:
        surface.append("normal3f inputs:normal.connect = </Root/Material/NormalTexture.outputs:rgb>")
    return [
        '    def Material "Material"',
        "    {",
        "        token outputs:surface.connect = </Root/Material/Surface.outputs:surface>",
        *_shader("Surface", "UsdPreviewSurface", *surface),
        *shaders,
        "    }",
    ]


def _packed_texture() -> list[str]:
    """Occlusion, roughness and metallic, linear."""
    return _shader(
        "PackedTexture",
        "UsdUVTexture",
        "asset inputs:file = @./textures/occlusion_roughness_metallic.png@",
        'token inputs:sourceColorSpace = "raw"',
        'token inputs:wrapS = "repeat"',
        'token inputs:wrapT = "repeat"',
        "float2 inputs:st.connect = </Root/Material/Coordinates.outputs:result>",
        "float outputs:r",
        "float outputs:g",
        "float outputs:b",
    )


def _normal_texture() -> list[str]:
    """Bytes to [-1, 1], as the UsdPreviewSurface specification asks for normal maps of 8 bits."""
    return _shader(
        "NormalTexture",
        "UsdUVTexture",
        "asset inputs:file = @./textures/normal.png@",
        'token inputs:sourceColorSpace = "raw"',
        'token inputs:wrapS = "repeat"',
        'token inputs:wrapT = "repeat"',
        "float4 inputs:scale = (2, 2, 2, 1)",
        "float4 inputs:bias = (-1, -1, -1, 0)",
        "float2 inputs:st.connect = </Root/Material/Coordinates.outputs:result>",
        "float3 outputs:rgb",
    )


def _reader(kind: str, primvar: str) -> list[str]:
    name = f'string inputs:varname = "{primvar}"'
    return _shader("Coordinates", f"UsdPrimvarReader_{kind}", name, f"{kind} outputs:result")


def _shader(name: str, kind: str, *properties: str) -> list[str]:
    lines = [f'uniform token info:id = "{kind}"', *properties]
    return [f'        def Shader "{name}"', "        {", *(f"            {line}" for line in lines), "        }"]
