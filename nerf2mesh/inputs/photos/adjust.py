"""The last bundle adjustment of structure from motion: against wrong matches, without needless distortion.

An object fills the middle of its pictures, where focal length and radial distortion look alike. Left free, they trade
against each other, and an object of the wrong size beside the cameras' way comes out. So the simplest lens that
explains the matches is taken: no distortion, unless it makes the reprojection error noticeably smaller.
"""

from __future__ import annotations

from typing import Any

import numpy as np

TOLERANCE_PX = 0.5
"""Scale of Cauchy's loss (Triggs et al. 2000, section 3.2): residuals far above count little."""
MAX_ITERATIONS = 50
NOTICEABLE = 0.01
"""Share of the reprojection error that distortion has to take away."""
RADIAL = 3
"""Where the coefficient stands among SIMPLE_RADIAL's parameters f, cx, cy, k."""


def adjusted(pycolmap: Any, model: Any) -> Any:
    """The Reconstruction with all poses, points and lenses adjusted once more; lenses are SIMPLE_RADIAL.

    The model is left as it is where the solver gives none that is finite.
    """
    free = _solved(pycolmap, model, distorted=True)
    straight = _solved(pycolmap, model, distorted=False)
    errors = [float(one.compute_mean_reprojection_error()) for one in (free, straight)]
    if not np.isfinite(errors[1]):
        return free if np.isfinite(errors[0]) else model
    return free if errors[0] < (1.0 - NOTICEABLE) * errors[1] else straight


def _solved(pycolmap: Any, model: Any, *, distorted: bool) -> Any:
    trial = pycolmap.Reconstruction(model)
    if not distorted:
        for camera in trial.cameras.values():
            values = np.array(camera.params)
            values[RADIAL] = 0.0
            camera.params = values
    options = pycolmap.BundleAdjustmentOptions(print_summary=False, refine_extra_params=distorted)
    options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    options.ceres.loss_function_scale = TOLERANCE_PX
    options.ceres.solver_options.num_threads = 1
    options.ceres.solver_options.max_num_iterations = MAX_ITERATIONS
    which = pycolmap.BundleAdjustmentConfig()
    for number in trial.reg_image_ids():
        which.add_image(number)
    which.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    pycolmap.create_default_bundle_adjuster(options, which, trial).solve()
    trial.update_point_3d_errors()
    return trial
