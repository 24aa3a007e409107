// The part of the program that does the work (see main.cpp). A user's program with parts of its own
// looks like this one.
#include "laconic/cli/program.h"

int main(int argc, char** argv) { return laconic::run_program(argc, argv); }
