"""Figures that papers printed, to stand beside ours: marked as published, never measured here, never in a comparison.

They come from the papers' own tables or from later papers that list them; the same method on "the same" 30 objects is
printed as 0.0199, 0.0222 and 0.0329 Chamfer. Only a protocol's name and arithmetic make figures comparable.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedTable:
    """One printed table: the protocol it is nearest to, its columns, rows of method and figures (None: not given)."""

    protocol: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]


PUBLISHED = (
    PublishedTable(
        "syncdreamer-gso",
        "30 scanned objects, geometry",
        ("Chamfer [-]", "volume IoU [+]"),
        (
            ("RealFusion", (0.0819, 0.2741)),
            ("Magic123", (0.0516, 0.4528)),
            ("One-2-3-45", (0.0629, 0.4086)),
            ("Point-E", (0.0426, 0.2875)),
            ("Shap-E", (0.0436, 0.3584)),
            ("Zero123", (0.0339, 0.5035)),
            ("SyncDreamer", (0.0261, 0.5421)),
            ("Wonder3D (its own report)", (0.0199, 0.6244)),
            ("Wonder3D (measured again with ICP)", (0.0329, 0.5768)),
            ("HarmonyView", (0.0187, 0.6401)),
            ("Hi3D", (0.0172, 0.6631)),
            ("MVDiffusion++", (0.0165, 0.6973)),
        ),
    ),
    PublishedTable(
        "syncdreamer-gso",
        "30 scanned objects, 16 views",
        ("PSNR [+]", "SSIM [+]", "LPIPS (VGG) [-]"),
        (
            ("RealFusion", (15.26, 0.722, 0.283)),
            ("Zero123", (18.93, 0.779, 0.166)),
            ("Stable-Zero123", (19.79, 0.788, 0.153)),
            ("SyncDreamer", (20.05, 0.798, 0.146)),
            ("MVDiffusion++", (21.45, 0.844, 0.129)),
            ("Hi3D", (24.26, 0.864, 0.119)),
            ("Wonder3D", (26.07, 0.924, 0.065)),
        ),
    ),
    PublishedTable(
        "triposr",
        "about 300 scanned objects (TripoSR's report)",
        ("Chamfer [-]", "F@0.1 [+]", "F@0.2 [+]", "F@0.5 [+]"),
        (
            ("One-2-3-45", (0.227, 0.382, 0.630, 0.878)),
            ("OpenLRM", (0.180, 0.430, 0.698, 0.938)),
            ("ZeroShape", (0.160, 0.489, 0.757, 0.952)),
            ("TGS", (0.122, 0.637, 0.846, 0.968)),
            ("TripoSR", (0.111, 0.651, 0.871, 0.980)),
        ),
    ),
    PublishedTable(
        "instantmesh",
        "300 scanned objects (InstantMesh's report, from secondary notes)",
        ("PSNR [+]", "SSIM [+]", "LPIPS [-]", "Chamfer [-]", "F@0.2 [+]"),
        (
            ("TripoSR", (23.373, 0.868, 0.213, 0.217, 0.843)),
            ("LGM", (21.538, 0.871, 0.216, 0.345, 0.671)),
            ("CRM", (22.195, 0.891, 0.150, 0.252, 0.787)),
            ("SV3D", (22.098, 0.861, 0.201, None, None)),
            ("InstantNeRF", (23.141, 0.898, 0.119, 0.177, 0.882)),
            ("InstantMesh", (22.794, 0.897, 0.120, 0.180, 0.880)),
        ),
    ),
    PublishedTable(
        "magic123",
        "NeRF4, reference view",
        ("CLIP similarity [+]", "PSNR [+]", "LPIPS (Alex) [-]"),
        (
            ("Point-E", (0.48, 0.70, 0.80)),
            ("Shap-E", (0.60, 0.99, 0.76)),
            ("NeuralLift", (0.52, 12.55, 0.50)),
            ("RealFusion", (0.38, 15.37, 0.20)),
            ("Zero123", (0.62, 23.96, 0.05)),
            ("Magic123", (0.80, 24.62, 0.03)),
        ),
    ),
    PublishedTable(
        "t3bench",
        "100 prompts of single objects",
        ("quality [+]", "alignment [+]", "average [+]"),
        (
            ("DreamFusion", (24.9, 24.0, 24.4)),
            ("SJC", (26.3, 23.0, 24.7)),
            ("LatentNeRF", (34.2, 32.0, 33.1)),
            ("Magic3D", (38.7, 35.3, 37.0)),
            ("ProlificDreamer", (51.1, 47.8, 49.3)),
            ("MetaDreamer", (54.6, 55.8, 55.2)),
        ),
    ),
    PublishedTable(
        "lrm-8view",
        "scanned objects, 8 views, 256 px",
        ("PSNR [+]", "SSIM [+]", "LPIPS [-]"),
        (("GS-LRM", (31.90, 0.966, 0.030)), ("LRM-Zero", (30.78, 0.957, 0.036))),
    ),
)


def published_markdown(protocol: str) -> str:
    """The printed tables of a protocol as Markdown, each marked as published; empty where there is none."""
    from nerf2mesh.evaluate.tables.tables import markdown

    parts = []
    for table in (t for t in PUBLISHED if t.protocol == protocol):
        rows = [[name, *("-" if v is None else f"{v:g}" for v in values)] for name, values in table.rows]
        parts += [f"## Published, not measured here: {table.title}", markdown(["method", *table.columns], rows)]
    return "\n\n".join(parts)
