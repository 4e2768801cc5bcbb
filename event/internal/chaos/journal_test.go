package chaos_test

import (
	"testing"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/internal/chaos"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) {
	servertest.RunRole(map[string]servertest.Role{"worker": chaos.Worker(openChild)})
	leak.Main(m)
}

func openChild(args []string) (event.Stream, error) { return event.New(event.Journal(args[0])) }

// The process of a journal is killed again and again.
func TestChaosOfAJournalHandlesAllOnceAndInTime(t *testing.T) {
	chaos.RunLater(t, chaos.Later{Role: "worker", Args: []string{t.TempDir()}, Kind: sql.SQLite, Workers: 1, For: servertest.Chaos(t)})
}
