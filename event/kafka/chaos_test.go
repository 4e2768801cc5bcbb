package kafka_test

import (
	"os"
	"testing"

	"github.com/micro/go-platform/event/internal/chaos"
	"github.com/micro/go-platform/internal/servertest"
)

// Two consumers work beside each other on four partitions, or take turns at one.
func TestChaosLosesNothingAndKeepsOrder(t *testing.T) {
	partitions := []string{"4"}
	if os.Getenv("CHAOS") != "" || chaos.Records() > 0 { // a run of its own has the time
		partitions = append(partitions, "1")
	}
	for _, n := range partitions {
		t.Run(n+" partitions", func(t *testing.T) {
			server := servertest.Kafka(t)
			args := []string{server.Addr(), n, "chaos"}
			s, err := openChild(args)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { shut(t, s) })
			chaos.Run(t, s, "consumer", args, servertest.Chaos(t), chaos.Records(), func() { server.Kill(); server.Restart() })
		})
	}
}
