package nats_test

import (
	"testing"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/internal/chaos"
	"github.com/micro/go-platform/event/nats"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) {
	servertest.RunRole(map[string]servertest.Role{"consumer": chaos.Consumer(openChild), "worker": chaos.Worker(openChild)})
	leak.Main(m)
}

func openChild(args []string) (event.Stream, error) { return event.New(nats.Backend(args[0])) }

func TestChaosLosesNothingAndKeepsOrder(t *testing.T) {
	server := servertest.NATS(t)
	args := []string{server.Addr()}
	s, err := openChild(args)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(t.Context()) })
	chaos.Run(t, s, "consumer", args, servertest.Chaos(t), chaos.Records(), func() { server.Kill(); server.Restart() })
}

func TestChaosHandlesAllOnceAndInTime(t *testing.T) {
	server := servertest.NATS(t)
	chaos.RunLater(t, chaos.Later{
		Role: "worker", Args: []string{server.Addr()}, Kind: sql.SQLite, Workers: 3, For: servertest.Chaos(t),
		Restart: func() { server.Kill(); server.Restart() },
	})
}
