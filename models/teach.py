"""The two stages of training: the audio encoder taught on lip distances, then the U-Net on frozen features.

Arrays in, weights out; every so many steps all of a stage's state goes into the run's folder. Schedules go by steps,
and what a step draws follows from seed and step alone: a run that was stopped goes on as if it had not been.
"""

from __future__ import annotations

import csv
import math
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from models.audio_features import FEATURE_WIDTHS, WINDOW_STEPS, AudioEncoder, encode_mel, mel_window
from models.dataset import LIP_DISTANCES, Hearing, Take, disturb_mel, hearings, network_batch, pick_reference
from models.errors import ModelError
from models.losses import drawing_loss, mouth_psnr_db
from models.report import Logged, loss_curve, sample_sheet
from models.unet import UNet

RUN_FRAMES = 25
RUNS_PER_BATCH = 4
REACH = WINDOW_STEPS // 2
PLAIN_SHARE = 0.3
"""Part of the encoder's draws that hear the sound as it is, not a variant of it."""
PLAIN_SHARE_DRAWING = 0.5
VALIDATED_FRAMES = 8
SHEET_COLUMNS = 10
LOG_EVERY = 50


class LipHead(nn.Module):
    """16 feature steps to the four lip distances; only used while the encoder is taught."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze = nn.Conv1d(FEATURE_WIDTHS["ave"], 64, 1)
        self.look = nn.Conv1d(64, 64, WINDOW_STEPS)
        self.tell = nn.Conv1d(64, LIP_DISTANCES, 1)

    def forward(self, features: Tensor) -> Tensor:
        """features (B, rows, 512) to distances (B, rows - 15, 4)."""
        x = torch.relu(self.squeeze(features.transpose(1, 2)))
        return self.tell(torch.relu(self.look(x))).transpose(1, 2)


@dataclass(frozen=True)
class Schedule:
    """How one stage runs. rate: the learning rate after warm_up steps, from where it falls as a cosine to 0.
    patience: checks on held-out time without gain after which the stage ends; 0 = never."""

    steps: int
    seed: int
    rate: float
    warm_up: int = 100
    batch: int = 4
    bf16: bool = False
    save_every: int = 100
    check_every: int = 500
    patience: int = 0

    def rate_at(self, step: int) -> float:
        return self.rate * min(1.0, (step + 1) / self.warm_up) * 0.5 * (1 + math.cos(math.pi * step / self.steps))


class Progress:
    """Prints a line with the time left, keeps the log of losses and draws its curve."""

    def __init__(self, log: Path, stage: str, total: int) -> None:
        self.log, self.stage, self.total = log, stage, total
        self._started, self._first = time.monotonic(), 0

    def begin(self, step: int) -> None:
        """Time counts from here, at `step`; what an interrupted run logged of later steps is taken out."""
        self._started, self._first = time.monotonic(), step
        kept = [row for row in self._rows() if row.stage != self.stage or row.step <= step]
        self.log.unlink(missing_ok=True)
        self._append(kept)

    def __call__(self, step: int, values: dict[str, float]) -> None:
        left = (time.monotonic() - self._started) / max(step - self._first, 1) * (self.total - step)
        shown = "  ".join(f"{key} {value:.4f}" for key, value in values.items())
        print(f"{self.stage}  {step}/{self.total}  {shown}  {left / 60:.1f} min left", flush=True)
        self._append([Logged(self.stage, step, key, value) for key, value in values.items()])

    def draw_curve(self) -> None:
        """The stage's curve as STAGE_curve.png beside the log."""
        cv2.imwrite(str(self.log.with_name(f"{self.stage}_curve.png")), loss_curve(self._rows(), self.stage))

    def _rows(self) -> list[Logged]:
        if not self.log.exists():
            return []
        with self.log.open(newline="", encoding="utf-8") as file:
            return [Logged(r["stage"], int(r["step"]), r["name"], float(r["value"])) for r in csv.DictReader(file)]

    def _append(self, rows: Sequence[Logged]) -> None:
        new = not self.log.exists()
        with self.log.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["stage", "step", "name", "value"])
            writer.writerows([row.stage, row.step, row.name, f"{row.value:.6f}"] for row in rows)


def teach_encoder(
    encoder: AudioEncoder,
    takes: Sequence[Take],
    schedule: Schedule,
    state: Path,
    *,
    device: torch.device,
    progress: Progress,
    resume: bool,
) -> dict[str, float]:
    """Teach the encoder in place and leave it in eval mode; returns held-out correlations of its lip head."""
    torch.manual_seed(schedule.seed)
    head = LipHead()
    parts = nn.ModuleDict({"encoder": encoder, "head": head})
    optimiser, kept = _begin(parts, schedule, state, device, resume)
    step, running = int(kept.get("step", 0)), float(kept.get("running", math.nan))
    progress.begin(step)
    heard = [hearings(take, RUN_FRAMES + 2 * REACH + 2) for take in takes]
    seen = np.concatenate([take.lips[: take.split] for take in takes])
    mean, spread = seen.mean(axis=0), seen.std(axis=0) + 1e-6
    while step < schedule.steps:
        rng = np.random.default_rng([schedule.seed, step])
        chosen = [heard[i] for i in rng.choice(len(takes), RUNS_PER_BATCH, p=_shares(takes))]
        windows, wanted = _encoder_batch(chosen, rng)

        def loss_of(windows: Tensor = windows, wanted: NDArray[np.float32] = wanted) -> Tensor:
            with torch.autocast(device.type, torch.bfloat16, enabled=schedule.bf16):
                features = encoder(windows.to(device, memory_format=torch.channels_last)).float()
            told = head(features.view(RUNS_PER_BATCH, -1, features.shape[1]))
            return F.smooth_l1_loss(told, torch.from_numpy(((wanted - mean) / spread).astype(np.float32)).to(device))

        parts.train()
        loss = _descend(loss_of, optimiser, schedule.rate_at(step), RUNS_PER_BATCH)
        step += 1
        running = _smoothed(running, loss, 0.95, step)
        if step % LOG_EVERY == 0:
            progress(step, {"loss": running})
        if step % schedule.check_every == 0 and step < schedule.steps:
            parts.eval()
            progress(step, lip_correlations(takes, encoder, head, device))
        if step % schedule.save_every == 0 or step == schedule.steps:
            _save_state(state, parts, optimiser, {"step": step, "running": running})
    parts.eval()
    figures = lip_correlations(takes, encoder, head, device)
    progress(step, {"loss": running, **figures})
    progress.draw_curve()
    return figures


def _encoder_batch(chosen: Sequence[Sequence[Hearing]], rng: np.random.Generator) -> tuple[Tensor, NDArray[np.float32]]:
    """One run of consecutive frames per entry: mel windows (B * rows, 1, 80, 16) and lip distances (B, 25, 4)."""
    windows: list[NDArray[np.float32]] = []
    wanted: list[NDArray[np.float32]] = []
    for variants in chosen:
        plain = rng.random() < PLAIN_SHARE or len(variants) == 1
        one = variants[0 if plain else int(rng.integers(1, len(variants)))]
        mel = disturb_mel(one.mel, rng) if rng.random() < 0.5 else one.mel
        first = int(rng.integers(REACH + 1, one.split - RUN_FRAMES - REACH))
        windows.extend(mel_window(mel, row) for row in range(first - REACH - 1, first + RUN_FRAMES + REACH - 2))
        wanted.append(one.lips[first : first + RUN_FRAMES])
    return torch.from_numpy(np.stack(windows)[:, None]), np.stack(wanted)


def lip_correlations(
    takes: Sequence[Take], encoder: AudioEncoder, head: LipHead, device: torch.device
) -> dict[str, float]:
    """Correlation of told and true opening and width over all held-out frames; {} where nothing is held out."""
    told, true = [], []
    for take in takes:
        if take.split == len(take.lips):
            continue
        rows = torch.from_numpy(encode_mel(take.mels[0], encoder, device=device)).to(device)
        with torch.inference_mode():
            answer = head(F.pad(rows, (0, 0, REACH, REACH))[None])[0].cpu().numpy()
        told.append(answer[take.split : len(take.lips)])
        true.append(take.lips[take.split :])
    if not told:
        return {}
    a, b = np.concatenate(told), np.concatenate(true)
    return {name: float(np.corrcoef(a[:, i], b[:, i])[0, 1]) for i, name in enumerate(("opening_r", "width_r"))}


def teach_unet(
    network: UNet,
    takes: Sequence[Take],
    features: Sequence[Sequence[NDArray[np.float32]]],
    schedule: Schedule,
    state: Path,
    *,
    device: torch.device,
    progress: Progress,
    resume: bool,
) -> dict[str, float]:
    """Train the U-Net in place on frozen features; returns held-out figures and the number of steps.

    Where the schedule has patience, the weights of the best check are taken in the end.
    """
    optimiser, kept = _begin(network, schedule, state, device, resume)
    step, running = int(kept.get("step", 0)), float(kept.get("running", math.nan))
    best, waited = float(kept.get("best", math.inf)), int(kept.get("waited", 0))
    best_weights = state.with_name("best.pt")
    progress.begin(step)
    sheet = state.with_name("samples.png")

    def keep() -> None:
        _save_state(state, network, optimiser, {"step": step, "running": running, "best": best, "waited": waited})

    while step < schedule.steps:
        if schedule.patience and waited >= schedule.patience:
            print(
                f"no gain on held-out time for {waited} check{'' if waited == 1 else 's'}: ends at step {step}",
                flush=True,
            )
            break
        rng = np.random.default_rng([schedule.seed, step])
        which = [int(i) for i in rng.choice(len(takes), schedule.batch, p=_shares(takes))]
        frames = [int(rng.integers(takes[t].split)) for t in which]
        picks = [(t, f, pick_reference(takes[t], f, rng)) for t, f in zip(which, frames, strict=True)]
        variants = [_variant(len(features[t]), rng) for t in which]
        batch = [tensor.to(device) for tensor in network_batch(takes, picks, features, variants, rng=rng)]
        corner = (int(rng.integers(8)), int(rng.integers(8)))

        def loss_of(batch: Sequence[Tensor] = batch, corner: tuple[int, int] = corner) -> Tensor:
            image, audio, target, weight = batch
            return drawing_loss(network(image, audio), target, weight, corner)

        network.train()
        loss = _descend(loss_of, optimiser, schedule.rate_at(step), schedule.batch)
        step += 1
        running = _smoothed(running, loss, 0.98, step)
        if step % LOG_EVERY == 0:
            progress(step, {"loss": running})
        if step % schedule.check_every == 0 and step < schedule.steps:
            found = validate(network, takes, features, device=device, sheet=sheet)
            progress(step, found)
            progress.draw_curve()
            waited += 1
            if schedule.patience and found and found["held_out_loss"] < best:
                best, waited = found["held_out_loss"], 0
                torch.save(network.state_dict(), best_weights)
        if step % schedule.save_every == 0:
            keep()
    keep()
    figures = validate(network, takes, features, device=device, sheet=sheet)
    if schedule.patience and figures and figures["held_out_loss"] > best:
        network.load_state_dict(torch.load(best_weights, weights_only=True, map_location=device))
        figures = validate(network, takes, features, device=device, sheet=sheet)
    progress(step, {"loss": running, **figures})
    progress.draw_curve()
    return {**figures, "steps": step}


def _begin(
    network: nn.Module, schedule: Schedule, state: Path, device: torch.device, resume: bool
) -> tuple[torch.optim.Optimizer, dict[str, Any]]:
    """Put the network on its device; its optimiser, and what an interrupted run kept where it is to be resumed."""
    network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.rate, weight_decay=1e-3)
    return optimiser, _load_state(state, network, optimiser) if resume else {}


def _shares(takes: Sequence[Take]) -> NDArray[np.float64]:
    """How often each take is drawn: by its frames that are not held out."""
    weights = np.array([take.split for take in takes], float)
    return weights / weights.sum()


def _descend(loss_of: Callable[[], Tensor], optimiser: torch.optim.Optimizer, rate: float, batch: int) -> float:
    """One step down; returns the loss. ModelError with the batch size to try where memory runs out."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    try:
        loss = loss_of()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    except (RuntimeError, MemoryError) as e:
        if isinstance(e, RuntimeError) and "memory" not in str(e):
            raise
        cure = f"try --batch {batch // 2}" if batch >= 4 else "try a smaller --size, or --device cpu"
        raise ModelError(f"out of memory at batch {batch}; {cure}; --resume goes on from the last saved step") from e
    return loss.item()


def _smoothed(running: float, loss: float, keep: float, step: int) -> float:
    if not math.isfinite(loss):
        raise ModelError(f"training diverged at step {step}; go on from the last saved step with --resume")
    return loss if math.isnan(running) else keep * running + (1 - keep) * loss


def _save_state(path: Path, network: nn.Module, optimiser: torch.optim.Optimizer, values: dict[str, Any]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    torch.save({"network": network.state_dict(), "optimiser": optimiser.state_dict(), **values}, partial)
    partial.replace(path)


def _load_state(path: Path, network: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """What was saved beside the weights; {} where nothing was saved yet."""
    if not path.is_file():
        return {}
    try:
        state = torch.load(path, weights_only=True)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
    except (RuntimeError, KeyError, ValueError, pickle.UnpicklingError, EOFError) as e:
        raise ModelError(
            f"{path} does not fit this run (another --size or --plan, or damaged); start without --resume"
        ) from e
    print(f"resuming at step {state['step']}", flush=True)
    return dict(state)


def _variant(count: int, rng: np.random.Generator) -> int:
    """Half of the draws take the sound as it is (0), the others any variant."""
    return 0 if rng.random() < PLAIN_SHARE_DRAWING else int(rng.integers(count))


def validate(
    network: UNet,
    takes: Sequence[Take],
    features: Sequence[Sequence[NDArray[np.float32]]],
    *,
    device: torch.device,
    sheet: Path,
) -> dict[str, float]:
    """Loss, L1 and mouth PSNR on held-out time, the frame itself as reference (as at inference); writes a sample
    sheet. {} where nothing is held out."""
    network.eval()
    drawn_all, target_all, weight_all, mouths = [], [], [], []
    for t, take in enumerate(takes):
        if take.split == len(take.crops):
            continue
        frames = [int(f) for f in np.linspace(take.split, len(take.crops) - 1, VALIDATED_FRAMES)]
        image, audio, target, weight = network_batch(takes, [(t, f, f) for f in frames], features, [0] * len(frames))
        with torch.inference_mode():
            drawn_all.append(network(image.to(device), audio.to(device)).cpu())
        target_all.append(target)
        weight_all.append(weight)
        mouths.extend(take.mouths[frames].tolist())
    if not drawn_all:
        return {}
    drawn, target, weight = torch.cat(drawn_all), torch.cat(target_all), torch.cat(weight_all)
    shown = np.linspace(0, len(drawn) - 1, min(SHEET_COLUMNS, len(drawn))).astype(int)
    truths, made = (pictures[shown].permute(0, 2, 3, 1).numpy() for pictures in (target, drawn))
    cv2.imwrite(str(sheet), sample_sheet(truths, made, [mouths[i] for i in shown]))
    return {
        "held_out_loss": drawing_loss(drawn, target, weight).item(),
        "held_out_l1": (drawn - target).abs().mean().item(),
        "mouth_psnr_db": mouth_psnr_db(drawn, target, weight),
    }


def feature_variants(
    takes: Sequence[Take], encoder: AudioEncoder, seed: int, device: torch.device, variants: int = 5
) -> list[list[NDArray[np.float32]]]:
    """Feature rows per take: the first pitch variants, and each once more with gain, tilt and noise; a take without
    sound gets the features of silence."""
    rng = np.random.default_rng(seed + 2)
    result = []
    for take in takes:
        mels = take.mels[:variants] or (np.full((80, 4 * len(take.crops)), -4.0, np.float32),)
        result.append(
            [encode_mel(mel, encoder, device=device) for mel in (*mels, *(disturb_mel(m, rng) for m in mels))]
        )
    return result
