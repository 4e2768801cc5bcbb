//go:build !unix

package servertest

import (
	"errors"
	"os"
)

type sig int

const (
	sigKill sig = iota
	sigTerm
	sigInt
	sigStop
	sigCont
)

var errPlatform = errors.New("servers for tests run on Unix only")

func spawn(string, command, *os.File) (int, error) { return 0, errPlatform }
func wait(int, bool) (string, bool)                { return errPlatform.Error(), true }
func gone(int) bool                                { return true }
func send(int, sig) error                          { return errPlatform }
func userName() string                             { return "" }
func give(string, string) error                    { return errPlatform }
func descendants(int) []int                        { return nil }
func lockFile(string) (*os.File, error)            { return nil, errPlatform }
func watchdog(string, *os.File) (*os.File, error)  { return nil, errPlatform }
