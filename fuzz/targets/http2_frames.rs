#![doc = "The property `nightlatch_fuzz::http2_frames`, for libFuzzer; else for the files named on the command line."]
#![cfg_attr(fuzzing, no_main)]

nightlatch_fuzz::target!(http2_frames);
