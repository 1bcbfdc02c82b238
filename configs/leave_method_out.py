"""Leave one method out: LIPINC on all lip-sync methods of FakeAVCeleb, tested on the one that was not trained on.

    python preprocess_extract_lips.py --config configs/leave_method_out.py
    lipinc crossval --config leave_method_out --split.folds 5 --leave-out each
    lipinc train --config leave_method_out --split.file fakeavceleb --split.unseen wav2lip --name without_wav2lip

The first two test every video of each method, with detectors that saw neither its person nor its method. The last one
leaves out one method on the shipped split. In fsgan-wav2lip and faceswap-wav2lip the face was swapped before the lips
were moved: what a detector transfers between methods may be either.
"""

from dataclasses import replace

from lipinc.config import load_config

fakeavceleb = load_config("fakeavceleb")

config = replace(
    fakeavceleb,
    name="leave_method_out",
    data=replace(fakeavceleb.data, fake_methods=("wav2lip", "fsgan-wav2lip", "faceswap-wav2lip")),
    cache=replace(fakeavceleb.cache, path="cache/leave_method_out"),
)
