#![doc = "The property `nightlatch_fuzz::app_cookies`, for libFuzzer; else for the files named on the command line."]
#![cfg_attr(fuzzing, no_main)]

nightlatch_fuzz::target!(app_cookies);
