"""The lip-sync network: SyncTalk_2D-compatible U-Net, audio encoder, checkpoints, training."""

from models.errors import ModelError
from models.lip_sync import LipSyncModel, list_models

__all__ = ["LipSyncModel", "ModelError", "list_models"]
