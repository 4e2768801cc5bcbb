//go:build unix

package main

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/docs/shell"
)

// readme types every shell line of README.md, in order, from an empty folder, with the archives of
// the release for what it fetches. Only the port is another one.
func readme(t *testing.T, env []string) {
	page, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := shell.Blocks(string(page))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	adapt := strings.NewReplacer(
		"https://raw.githubusercontent.com/micro/go-platform/main/", "file://"+abs(t, "../..")+"/",
		"localhost:8080", "localhost:"+port)
	replace := func(c string) string {
		if c == "go run ." {
			c += " -addr 127.0.0.1:" + port
		}
		return adapt.Replace(c)
	}
	commands := 0
	for _, b := range blocks {
		commands += len(b.Commands)
	}
	if commands < 6 {
		t.Errorf("README.md has %d shell lines only", commands)
	}
	shell.Session{Dir: t.TempDir(), Env: env, Replace: replace, Within: 5 * time.Minute}.Run(t, blocks)
}
