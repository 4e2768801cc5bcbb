//go:build !unix && !windows

package main

import "os"

// terminal reports that f is none.
func terminal(*os.File) (width int, ok bool) { return 0, false }
