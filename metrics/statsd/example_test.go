package statsd_test

import (
	"context"
	"fmt"
	"net"

	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/statsd"
)

func ExampleBackend() {
	receiver, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer receiver.Close()

	m, err := metrics.New(statsd.Backend(receiver.LocalAddr().String(), statsd.WithDialect(statsd.DogStatsD)))
	if err != nil {
		panic(err)
	}
	logins := m.CounterVec("logins", []string{"country"})
	for range 1000 {
		logins.With("CH").Inc()
	}
	if err := m.Close(context.Background()); err != nil {
		panic(err)
	}
	packet := make([]byte, 1500)
	n, _, _ := receiver.ReadFrom(packet)
	fmt.Println(string(packet[:n]))
	// Output: logins:1000|c|#country:CH
}
