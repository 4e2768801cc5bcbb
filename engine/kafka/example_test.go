package kafka_test

import (
	"fmt"

	"github.com/micro/go-platform/engine/kafka"
	"github.com/micro/go-platform/event"
	eventkafka "github.com/micro/go-platform/event/kafka"
	"github.com/twmb/franz-go/pkg/kgo"
)

func ExampleOpen() {
	e, err := kafka.Open("kafkas://10.0.0.1:9093,10.0.0.2:9093", kafka.WithSCRAM512("app", "secret"), kafka.WithClientOptions(kgo.ClientID("orders")))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Close())
	// Output: <nil>
}

func ExampleFromClient() {
	client, err := kgo.NewClient(kgo.SeedBrokers("10.0.0.1:9092"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close() // Close of the engine and of the stream leave it open

	s, err := event.New(eventkafka.On(kafka.FromClient(client)), event.WithLazy()) // WithLazy: this example runs without Kafka
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Features().Backend)
	// Output: kafka
}
