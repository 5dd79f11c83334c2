"""LoRA adapters on priors: attach, fit to the input or to a style, stack, read and write in everybody's formats."""

from nerf2mesh.lora.adapters import adapter_state, attach, load_state, names, remove, stack, stacked, train_only, using
from nerf2mesh.lora.config import LoraConfig
from nerf2mesh.lora.frames import SUBJECT, active, style_name
from nerf2mesh.lora.io.export import export_adapter, save_adapter
from nerf2mesh.lora.io.load import Loaded, load_adapter, read_adapter
from nerf2mesh.lora.io.manifest import Manifest, Source
from nerf2mesh.lora.packaged import packaged_adapter, packaged_materials
from nerf2mesh.lora.train.dreambooth import ClassPictures, class_pictures, fit_pictures
from nerf2mesh.lora.train.subject import fit_subject

__all__ = [
    "SUBJECT",
    "ClassPictures",
    "Loaded",
    "LoraConfig",
    "Manifest",
    "Source",
    "active",
    "adapter_state",
    "attach",
    "class_pictures",
    "export_adapter",
    "fit_pictures",
    "fit_subject",
    "load_adapter",
    "load_state",
    "names",
    "packaged_adapter",
    "packaged_materials",
    "read_adapter",
    "remove",
    "save_adapter",
    "stack",
    "stacked",
    "style_name",
    "train_only",
    "using",
]
