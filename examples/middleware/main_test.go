package main

import (
	"testing"

	"github.com/micro/go-platform/examples/internal/trial"
	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestServiceAnswersAndStops(t *testing.T) {
	trial.Run(t, run, about, "Hello, Ada\n", "ok\n", "http_server_request_duration_seconds_count")
}
