#![doc = "The property `nightlatch_fuzz::proxy_protocol`, for libFuzzer; else for the files named on the command line."]
#![cfg_attr(fuzzing, no_main)]

nightlatch_fuzz::target!(proxy_protocol);
