package main

import (
	"testing"

	"github.com/micro/go-platform/examples/internal/trial"
	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestServiceAnswersAndStops(t *testing.T) {
	trial.Run(t, run, map[string]string{"/hello/Ada": "Hello, Ada\n", "/readyz": "ok\n"})
}
