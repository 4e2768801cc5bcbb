package checks

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
)

// Goroutines fails if there are more than most: they leak.
func Goroutines(most int) Func {
	return func(context.Context) error {
		if n := runtime.NumGoroutine(); n > most {
			return fmt.Errorf("%d goroutines, want %d at most", n, most)
		}
		return nil
	}
}

// Memory fails if the Go runtime holds more than most bytes, counted as
// GOMEMLIMIT counts: all that it has from the system less what it gave back.
func Memory(most uint64) Func {
	return func(context.Context) error {
		s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
		metrics.Read(s)
		if held := s[0].Value.Uint64() - s[1].Value.Uint64(); held > most {
			return fmt.Errorf("%d bytes of memory, want %d at most", held, most)
		}
		return nil
	}
}
