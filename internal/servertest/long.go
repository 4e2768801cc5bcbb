package servertest

import (
	"os"
	"testing"
	"time"
)

// Chaos returns how long a test named …Chaos… is to keep failing its servers: a few seconds, to
// see that the test itself works, or what "make chaos" puts into CHAOS.
func Chaos(t testing.TB) time.Duration {
	t.Helper()
	if os.Getenv("CHAOS") == "" {
		return 3 * time.Second
	}
	return duration(t, "CHAOS")
}

// Soak returns how long a test named …Soak… is to run, as "make soak" puts it into SOAK. Without
// it, 0: a few calls, to see that the test itself works.
func Soak(t testing.TB) time.Duration {
	t.Helper()
	if os.Getenv("SOAK") == "" {
		return 0
	}
	return duration(t, "SOAK")
}

func duration(t testing.TB, name string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(os.Getenv(name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return d
}
