//go:build !unix

package event

import "os"

// lockFile opens a file. Where files can't be locked, nothing keeps a second
// process away.
func lockFile(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
}
