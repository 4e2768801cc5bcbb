package page_test

import (
	"testing"

	"github.com/micro/go-platform/internal/servertest"
)

// Whoever points at a plot sees its values of that time, and the same time in the plots beside it.
func TestPlotsShowOneTime(t *testing.T) {
	browser := servertest.Browser(t)
	p := start(t)
	p.settled(t)
	tab := servertest.OpenTab(t, browser, p.url+"#service?name=orders", 1280, 800)
	tab.Await("[...document.querySelectorAll('.chart')].filter((c) => c.querySelector('path')).length === 3")
	point := func(event string) {
		tab.Eval("(() => { const p = document.querySelector('.chart:nth-of-type(2) .plot'), r = p.firstChild.getBoundingClientRect(); p.dispatchEvent(new PointerEvent('" + event + "', { clientX: r.right, clientY: r.top })) })()")
	}
	const shown = "[...document.querySelectorAll('.chart')].map((c) => c.querySelectorAll('.at').length + '' + c.querySelectorAll('.tip').length).join(' ')"
	if got := tab.Eval(shown); got != "00 00 00" {
		t.Fatalf("before: lines and values %q", got)
	}
	point("pointermove")
	tab.Await(shown + " === '10 11 10'")
	tab.Await("document.querySelector('.tip').innerText.includes('failed')")
	point("pointerleave")
	tab.Await(shown + " === '00 00 00'")
	quiet(t, tab)
}
