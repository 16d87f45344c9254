"""Names of our remote control commands, for those who send them and those who answer."""

DRAIN_COMMAND = "earwitness_drain"
UNDRAIN_COMMAND = "earwitness_undrain"
STATE_COMMAND = "earwitness_state"
