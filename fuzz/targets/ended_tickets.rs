#![doc = "The property `nightlatch_fuzz::ended_tickets`, for libFuzzer; else for the files named on the command line."]
#![cfg_attr(fuzzing, no_main)]

nightlatch_fuzz::target!(ended_tickets);
