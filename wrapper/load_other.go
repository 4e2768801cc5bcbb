//go:build !unix

package wrapper

import "time"

func processorTime() (time.Duration, bool) { return 0, false }
