package log

// LinesOf is for the tests of the outside.
var LinesOf = linesOf

// AppendString writes a JSON string.
var AppendString = appendString
