"""Looking through the data of a style adapter before it is learnt from: `nerf2mesh-curate FOLDER`."""
