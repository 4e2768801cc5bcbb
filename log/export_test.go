package log

// LinesOf is for the tests of the outside.
var LinesOf = linesOf
