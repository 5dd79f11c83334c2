"""What kind of picture it is: photo, line art, pencil, cel, blueprint, pixel art."""

from nerf2mesh.inputs.domain.classify import KINDS, SUPPOSED, Verdict, classified, understood

__all__ = ["KINDS", "SUPPOSED", "Verdict", "classified", "understood"]
