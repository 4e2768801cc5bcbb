package wrapper_test

import (
	"io"
	"log"
)

// quiet is for servers whose complaints a test expects.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
