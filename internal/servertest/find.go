package servertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Cache returns the folder that scripts/servers installs into.
func Cache() string {
	if dir := os.Getenv("GO_PLATFORM_SERVERS"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return filepath.Join(os.TempDir(), "go-platform-servers")
	}
	return filepath.Join(dir, "go-platform-servers")
}

// find returns the path of a program: the pinned one in the cache folder, else the system's.
func find(program string) (string, error) {
	debian := filepath.Join(Cache(), "debian", "usr")
	for _, pattern := range []string{
		filepath.Join(Cache(), "bin", program),
		filepath.Join(debian, "bin", program),
		filepath.Join(debian, "sbin", program),
		filepath.Join(debian, "lib/postgresql/*/bin", program),
		filepath.Join(Cache(), "browser/usr/lib", program, program),
		filepath.Join(Cache(), "prometheus/usr/bin", program),
	} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, pattern := range []string{
		"/usr/sbin/" + program,
		"/usr/local/sbin/" + program,
		"/usr/lib/postgresql/*/bin/" + program,
	} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", fmt.Errorf("%s is neither in %s nor on PATH", program, Cache())
}

// Tool returns a command with a program that people use against servers, such as curl. One that is
// missing skips the test, or fails it where servers are required.
func Tool(ctx context.Context, t testing.TB, program string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := find(program)
	if err != nil {
		missing(t, program, "debian", err)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), libraries(path)...)
	return cmd
}

// Node returns a command with a script of interop/node, such as relying-party.mjs. If it isn't
// installed the test is skipped, or fails where servers are required.
func Node(ctx context.Context, t testing.TB, script string, args ...string) *exec.Cmd {
	t.Helper()
	sp := node(script, script, spec{})
	if err := installed(sp); err != nil {
		missing(t, script, sp.part, err)
	}
	return exec.CommandContext(ctx, sp.program, append(sp.files, args...)...)
}

// installed returns nil if everything is there to start a server.
func installed(sp spec) error {
	for _, path := range sp.files {
		if _, err := os.Stat(path); err != nil {
			return err
		}
	}
	_, err := find(sp.program)
	return err
}

// root returns the folder that stands for /usr of an unpacked Debian program, or "" for one of
// the system.
func root(program string) string {
	for _, part := range []string{"debian", "browser", "prometheus", "rabbitmq"} {
		usr := filepath.Join(Cache(), part, "usr")
		if strings.HasPrefix(program, usr+string(filepath.Separator)) {
			return usr
		}
	}
	return ""
}

// libraries returns the LD_LIBRARY_PATH= that an unpacked Debian program needs.
func libraries(program string) []string {
	usr := root(program)
	if usr == "" {
		return nil
	}
	dirs, _ := filepath.Glob(filepath.Join(usr, "lib", "*-linux-gnu*"))
	for _, dir := range dirs {
		dirs = append(dirs, filepath.Join(dir, "pulseaudio")) // Chromium's, found by an absolute path otherwise
	}
	return []string{"LD_LIBRARY_PATH=" + strings.Join(dirs, ":")}
}

// missing skips the test, or fails it where servers are required.
func missing(t testing.TB, name, part string, err error) {
	t.Helper()
	say := t.Skipf
	if os.Getenv("REQUIRE_SERVERS") == "1" {
		say = t.Fatalf
	}
	say("%s is not installed: %v; run \"make servers\" (or \"scripts/servers %s\")", name, err, part)
}
