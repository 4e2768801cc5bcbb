package sync_test

import (
	"testing"

	"github.com/micro/go-platform/internal/leak"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/locktest"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestMemoryKeepsTheContract(t *testing.T) {
	locktest.Run(t, locktest.Harness{
		Bubble:  true,
		Backend: func(testing.TB) dsync.Option { return dsync.Memory(dsync.NewLocks()) },
	})
}
