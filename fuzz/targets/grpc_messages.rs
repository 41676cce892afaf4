#![doc = "The property `nightlatch_fuzz::grpc_messages`, for libFuzzer; else for the files named on the command line."]
#![cfg_attr(fuzzing, no_main)]

nightlatch_fuzz::target!(grpc_messages);
