// A program that does whatever differs from run to run, and fails for seed 2.
package main

import (
	crypto "crypto/rand"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

func main() {
	began := time.Now()
	fmt.Println("--- time", began, rand.Uint64(), crypto.Text())
	numbers := map[int]bool{}
	for i := range 100 {
		numbers[i] = true
	}
	for n := range numbers {
		fmt.Print(n, " ")
	}
	ready, also := make(chan int, 100), make(chan int, 100)
	for i := range 100 {
		ready <- i
		also <- -i
	}
	for range 100 {
		select {
		case n := <-ready:
			fmt.Print(n, " ")
		case n := <-also:
			fmt.Print(n, " ")
		}
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	for i := range 100 {
		all.Go(func() {
			time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			fmt.Print(i, " ")
		})
	}
	all.Wait()
	fmt.Println(time.Since(began), os.Getpid(), os.Environ())
	if os.Getenv("SIM_SEED") == "2" {
		os.Exit(1)
	}
}
