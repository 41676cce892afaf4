#![doc = "The property `nightlatch_fuzz::trailing_fields`, for libFuzzer; else for the files named on the command line."]
#![cfg_attr(fuzzing, no_main)]

nightlatch_fuzz::target!(trailing_fields);
