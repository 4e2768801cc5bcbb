package sops

import (
	"testing"

	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
