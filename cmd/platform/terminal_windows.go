package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// terminal reports whether f is a console, and how wide it is. It makes a console
// understand colours.
func terminal(f *os.File) (width int, ok bool) {
	h := windows.Handle(f.Fd())
	var mode uint32
	if windows.GetConsoleMode(h, &mode) != nil {
		return 0, false
	}
	var info windows.ConsoleScreenBufferInfo
	if windows.GetConsoleScreenBufferInfo(h, &info) != nil {
		return 0, true // of input
	}
	windows.SetConsoleMode(h, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) // Windows before 10 refuses and shows the codes
	return int(info.Window.Right-info.Window.Left) + 1, true
}
