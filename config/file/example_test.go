package file_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/file"
	"github.com/micro/go-platform/config/yaml"
)

func ExampleSource() {
	dir, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "app.yaml")
	os.WriteFile(path, []byte("server:\n  addr: :8080\n  hosts: [a, b]\n"), 0o644)

	cfg, err := config.New(config.WithSource(file.Source(path, file.WithFormat(yaml.Format{}))))
	if err != nil {
		panic(err)
	}
	defer cfg.Close()
	fmt.Println(cfg.Get("server.addr").String(""), cfg.Get("server.hosts").Strings(nil))
	origin, _ := cfg.Snapshot().Origin("server.hosts")
	fmt.Println("line", origin.Line)
	// Output:
	// :8080 [a b]
	// line 3
}
