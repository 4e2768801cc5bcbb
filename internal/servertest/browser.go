package servertest

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// Browser starts a headless Chromium, for OpenTab; its port "devtools" speaks the DevTools protocol.
func Browser(t testing.TB, opts ...Option) *Server {
	t.Helper()
	return start(t, collect(opts), spec{
		name: "chromium", part: "browser", program: "chromium", ports: []string{"devtools"}, dsn: "http://%s",
		env: browserEnv(),
		args: func(s *Server) []string {
			return append(headless(s.dir), "--remote-debugging-port="+strconv.Itoa(s.Port("devtools")), "about:blank")
		},
		ready: answers("devtools", "/json/version", "webSocketDebuggerUrl"),
	})
}

// SharedBrowser returns the test binary's Chromium: each test opens tabs of its own.
func SharedBrowser(t testing.TB) *Server {
	t.Helper()
	return share(t, "chromium", Browser)
}

// Axe returns the script of axe-core, which finds what bars people from a page, for Tab.Eval.
func Axe(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(Cache(), "node", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		missing(t, "axe-core", "node", err)
	}
	return string(b)
}

// headless returns the flags for a run without a screen, as any user, that keeps to dir.
func headless(dir string) []string {
	return []string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
		"--disable-background-networking", "--user-data-dir=" + filepath.Join(dir, "profile"),
	}
}

// browserEnv points an unpacked Chromium to its fonts.
func browserEnv() []string {
	path, err := find("chromium")
	if err != nil || root(path) == "" {
		return nil
	}
	env := []string{"XDG_DATA_HOME=" + filepath.Join(root(path), "share")}
	if _, err := os.Stat("/etc/fonts/fonts.conf"); err != nil {
		env = append(env, "FONTCONFIG_PATH="+filepath.Join(filepath.Dir(root(path)), "etc", "fonts"))
	}
	return env
}
