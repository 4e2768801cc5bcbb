package kafka_test

import (
	"context"
	"fmt"

	engine "github.com/micro/go-platform/engine/kafka"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/kafka"
)

func ExampleBackend() {
	s, err := event.New(kafka.Backend("kafka://127.0.0.1:9092", kafka.WithPartitions(12)), event.WithNamespace("shop"), event.WithLazy()) // does not need the brokers yet
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close(context.Background())
	fmt.Println(s.Features().Backend)
	// Output: kafka
}

func ExampleOn() {
	e, err := engine.Open("kafkas://10.0.0.1:9093,10.0.0.2:9093", engine.WithSCRAM512("shop", "secret"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close() // after what stands on it

	orders, err := event.New(kafka.On(e, kafka.WithTopic("orders")), event.WithLazy()) // WithLazy: this example runs without Kafka
	if err != nil {
		fmt.Println(err)
		return
	}
	defer orders.Close(context.Background())
	fmt.Println(orders.Features().Shared)
	// Output: true
}
