"""What a gait can be changed in beside single coordinates, in words: light enough for `--help`."""

# Name of each strategy, and what it does; signs do not depend on the model's.
STRATEGIES = {
    "trunk_sway": "lateral lean of the trunk on the pelvis: +DEG leans DEG degrees further toward the stance leg at "
    "each mid-stance, *K by as much as makes the side-to-side excursion about K times what it is (a coordinate's own "
    "*K, such as lumbar_bending*K, scales the recorded curve, whatever its timing).",
    "toe_out": "+DEG turns the feet DEG degrees outward (toe_out_r, toe_out_l: one of them).",
    "toe_in": "+DEG turns the feet DEG degrees inward (toe_in_r, toe_in_l: one of them).",
    "step_width": "*K scales the distance between the feet across the direction of progression, +M adds M metres, half "
    "on each side (step_width_r, step_width_l: all on one).",
    "cadence": "*K scales the steps a minute, +N adds N, at constant speed: strides get shorter as steps get quicker.",
    "stride_length": "*K scales the length of strides, +M adds M metres, at constant cadence: the speed changes.",
}

# The forms that a change takes, and what they do.
GRAMMAR = {
    "NAME*FACTOR": "scales a coordinate of the model about its zero, or a strategy.",
    "NAME+AMOUNT": "adds degrees to an angle, metres to a length, or as the strategy says; NAME-AMOUNT subtracts.",
    "NAME=FILE": "replaces a coordinate by a curve: .csv, .mot or .sto with the columns percent (of the own side's "
    "stride, from foot strike at 0 to the next at 100; of the right one's for coordinates without side) or time, and "
    "value (degrees or metres).",
}
EXAMPLES = ("lumbar_bending*2.5", "toe_out+10", "knee_angle_r=curve.csv")
