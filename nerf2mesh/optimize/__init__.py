"""The optimization loop over an explicit state."""

from nerf2mesh.optimize.confidence import DirectionSpread, direction_spread
from nerf2mesh.optimize.config import OptimizeConfig
from nerf2mesh.optimize.control import RunControl
from nerf2mesh.optimize.delight import Delighted, delighted, guessed_normals, taken_apart
from nerf2mesh.optimize.distillers import GuidanceInputs, LatentGradient
from nerf2mesh.optimize.finish import Finish, Finishes
from nerf2mesh.optimize.guess import guess_cameras, guess_views, guesses_any_view
from nerf2mesh.optimize.lighting import check_light, light_in, lighting_in, lighting_of
from nerf2mesh.optimize.loop import optimize, step
from nerf2mesh.optimize.problem import Problem, SecondPrior, reference_of
from nerf2mesh.optimize.state import EARLIER, LAST, LoopState
from nerf2mesh.optimize.views import GivenPixels

__all__ = [
    "EARLIER",
    "LAST",
    "Delighted",
    "DirectionSpread",
    "Finish",
    "Finishes",
    "GivenPixels",
    "GuidanceInputs",
    "LatentGradient",
    "LoopState",
    "OptimizeConfig",
    "Problem",
    "RunControl",
    "SecondPrior",
    "check_light",
    "delighted",
    "direction_spread",
    "guess_cameras",
    "guess_views",
    "guessed_normals",
    "guesses_any_view",
    "light_in",
    "lighting_in",
    "lighting_of",
    "optimize",
    "reference_of",
    "step",
    "taken_apart",
]
