"""The optimization loop over an explicit state."""

from nerf2mesh.optimize.checkpoint import BEFORE, EARLIER, LAST, read_checkpoint
from nerf2mesh.optimize.config import OptimizeConfig
from nerf2mesh.optimize.distillers import GuidanceInputs, LatentGradient
from nerf2mesh.optimize.loop import optimize, step
from nerf2mesh.optimize.problem import Problem, SecondPrior
from nerf2mesh.optimize.state import LoopState
from nerf2mesh.optimize.views import GivenPixels

__all__ = [
    "BEFORE",
    "EARLIER",
    "LAST",
    "GivenPixels",
    "GuidanceInputs",
    "LatentGradient",
    "LoopState",
    "OptimizeConfig",
    "Problem",
    "SecondPrior",
    "optimize",
    "read_checkpoint",
    "step",
]
