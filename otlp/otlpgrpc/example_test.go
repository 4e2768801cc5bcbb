package otlpgrpc_test

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	engineotlp "github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/log"
	logotlp "github.com/micro/go-platform/log/otlp"
	"github.com/micro/go-platform/otlp/otlpgrpc"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/otlp"
)

// A batch that no collector takes yet waits in the queue: with WithLazy a
// program starts before its collector does.
func ExampleTransport() {
	tr, err := trace.New(otlp.Backend("127.0.0.1:4317", otlpgrpc.Transport()), trace.WithService("greeter"), trace.WithLazy())
	if err != nil {
		panic(err)
	}
	defer tr.Close(context.Background())
	fmt.Println(tr.Stats().Reporters[0].Reporter)
	// Output: otlp
}

func ExampleWithClient() {
	conn, err := grpc.NewClient("dns:///collector:4317", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	shared := []otlpgrpc.Option{otlpgrpc.WithClient(conn), engineotlp.WithHeader("x-scope-orgid", "shop")}

	tr, err := trace.New(otlp.Backend("", shared...), trace.WithLazy())
	if err != nil {
		panic(err)
	}
	defer tr.Close(context.Background())
	l, err := log.New(logotlp.Backend("", shared...), log.WithLazy())
	if err != nil {
		panic(err)
	}
	defer l.Close(context.Background())
	fmt.Println(tr.Stats().Reporters[0].Reporter, l.Stats()[0].Output)
	// Output: otlp otlp
}
