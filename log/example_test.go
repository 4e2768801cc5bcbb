package log_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/trace"
)

// withoutTime keeps the examples' output the same.
func withoutTime(line string) string {
	_, rest, _ := strings.Cut(line, `"level"`)
	return `{"level"` + strings.TrimSpace(rest)
}

func ExampleNew() {
	memory := log.NewRecorder(100, log.JSON()) // log.ToStdout(log.JSON()) in a service
	l, err := log.New(log.Memory(memory), log.WithLevel("db", slog.LevelWarn), log.WithRedact("password"))
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	defer l.Close(ctx)

	l.Logger("db.pool").Info("below the rule of db")
	l.Logger("web", slog.String("version", "1.2")).Info("login", "user", "ann", "password", "secret")

	l.Flush(ctx)
	for _, line := range memory.Records() {
		fmt.Println(withoutTime(line))
	}
	// Output:
	// {"level":"INFO","logger":"web","msg":"login","version":"1.2","user":"ann","password":"[redacted]"}
}

func ExampleWithContext() {
	memory := log.NewRecorder(100, nil)
	l, _ := log.New(log.Memory(memory), log.WithContext(trace.ContextAttrs))
	tr, _ := trace.New()
	ctx := context.Background()
	defer l.Close(ctx)
	defer tr.Close(ctx)

	ctx, span := tr.Start(ctx, "work")
	l.Logger("").InfoContext(ctx, "in a span")
	span.End()
	l.Flush(ctx)
	fmt.Println(strings.Contains(memory.Records()[0], `"trace_id":"`+span.Context().TraceID.String()))
	// Output: true
}

func ExampleToFile() {
	dir, _ := os.MkdirTemp("", "log")
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "app.log")
	l, err := log.New(log.ToFile(path,
		log.RotateSize(100<<20), log.RotateEvery(24*time.Hour), log.Keep(14, 30*24*time.Hour), log.Compress(),
	))
	if err != nil {
		panic(err)
	}
	l.Logger("").Info("hello")
	if err := l.Close(context.Background()); err != nil {
		panic(err)
	}
	b, _ := os.ReadFile(path)
	fmt.Println(withoutTime(string(b)))
	// Output: {"level":"INFO","msg":"hello"}
}

func ExampleLog_setLevel() {
	l, _ := log.New(log.Memory(log.NewRecorder(0, nil)))
	defer l.Close(context.Background())
	debug := func() bool { return l.Logger("db.pool").Enabled(context.Background(), slog.LevelDebug) }
	fmt.Println(debug())
	l.SetLevel("db", slog.LevelDebug, 10*time.Minute) // and back by itself
	fmt.Println(debug())
	// Output:
	// false
	// true
}

func ExampleWithOutput() {
	all, bad := log.NewRecorder(0, nil), log.NewRecorder(0, log.Logfmt())
	l, _ := log.New(log.Memory(all), log.WithOutput(log.Memory(bad), log.MinLevel(slog.LevelError), log.QueueBytes(1<<20)))
	l.Logger("").Info("fine")
	l.Logger("").Error("bad")
	l.Close(context.Background())
	fmt.Println(len(all.Records()), len(bad.Records()))
	// Output: 2 1
}

func ExampleWithExit() {
	l, _ := log.New(log.Memory(log.NewRecorder(0, nil)),
		log.WithExit(log.LevelFatal, func(code int) { fmt.Println("exit", code) })) // os.Exit in a service
	defer l.Close(context.Background())
	l.Logger("").Log(context.Background(), log.LevelFatal, "cannot go on")
	// Output: exit 1
}
