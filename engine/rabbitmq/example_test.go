package rabbitmq_test

import (
	"fmt"

	"github.com/micro/go-platform/engine/rabbitmq"
	"github.com/micro/go-platform/event"
	eventrabbitmq "github.com/micro/go-platform/event/rabbitmq"
	amqp "github.com/rabbitmq/amqp091-go"
)

func ExampleOpen() {
	e, err := rabbitmq.Open("amqp://app:secret@10.0.0.1,10.0.0.2/orders", rabbitmq.WithClientOptions(func(c *amqp.Config) {
		c.Properties.SetClientConnectionName("orders")
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close() // after what stands on it

	s, err := event.New(eventrabbitmq.On(e), event.WithLazy()) // WithLazy: this example runs without RabbitMQ
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Features().Backend)
	// Output: rabbitmq
}
