package main

import (
	"testing"
	"time"
)

func TestBrief(t *testing.T) {
	for d, want := range map[time.Duration]string{
		1500 * time.Nanosecond:          "2µs",
		12340 * time.Microsecond:        "12.3ms",
		59 * time.Second:                "59s",
		time.Minute:                     "1m",
		90 * time.Second:                "1m30s",
		10*time.Minute + time.Second:    "10m1s",
		time.Hour:                       "1h0m",
		80*time.Minute + time.Second:    "1h20m",
		49 * time.Hour:                  "2d",
		20*time.Minute + 10*time.Second: "20m10s",
	} {
		if got := brief(d); got != want {
			t.Errorf("%v: got %q, want %q", int64(d), got, want)
		}
	}
}
