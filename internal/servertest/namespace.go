package servertest

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// Namespace returns a name that no other test uses on the same server, made of letters, digits
// and dashes, at most 40 of them.
func Namespace(t testing.TB) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, t.Name())
	suffix := fmt.Sprintf("-%d-%d", os.Getpid(), serial.Add(1))
	return name[:min(len(name), 40-len(suffix))] + suffix
}
