// Go: buffered channels and goroutines. go_peer WORKLOAD int|heap [ITEMS]; GOMAXPROCS picks the
// number of threads. Prints wall and CPU nanoseconds an item, as every program here does.
package main

import (
	"context"
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

type blob [8]uint64

func mkI(i uint64) uint64  { return i }
func mkH(i uint64) *blob   { b := new(blob); b[0] = i; return b }
func valI(i uint64) uint64 { return i }
func valH(b *blob) uint64  { return b[0] }

type sw struct {
	w time.Time
	c float64
}

func cpu() float64 {
	var r syscall.Rusage
	syscall.Getrusage(0, &r)
	return float64(r.Utime.Nano() + r.Stime.Nano())
}
func start() sw { return sw{time.Now(), cpu()} }
func (s sw) per(n int) [2]float64 {
	return [2]float64{float64(time.Since(s.w).Nanoseconds()) / float64(n), (cpu() - s.c) / float64(n)}
}
func rss() float64 {
	b, _ := os.ReadFile("/proc/self/statm")
	v, _ := strconv.Atoi(strings.Fields(string(b))[1])
	return float64(v * os.Getpagesize())
}
func check(a, b uint64) {
	if a != b {
		fmt.Fprintln(os.Stderr, "CHECK", a, b)
		os.Exit(3)
	}
}
func tri(n uint64) uint64 { return n * (n - 1) / 2 }

func stream[T any](n uint64, cap, P, C int, mk func(uint64) T, val func(T) uint64) [2]float64 {
	ch := make(chan T, cap)
	var pw, cw sync.WaitGroup
	sums := make([]uint64, C)
	t := start()
	for p := 0; p < P; p++ {
		pw.Add(1)
		go func(p int) {
			for i := uint64(p); i < n; i += uint64(P) {
				ch <- mk(i)
			}
			pw.Done()
		}(p)
	}
	for c := 0; c < C; c++ {
		cw.Add(1)
		go func(c int) {
			var s uint64
			for v := range ch {
				s += val(v)
			}
			sums[c] = s
			cw.Done()
		}(c)
	}
	pw.Wait()
	close(ch)
	cw.Wait()
	d := t.per(int(n))
	var s uint64
	for _, x := range sums {
		s += x
	}
	check(s, tri(n))
	return d
}
func fan[T any](n uint64, mk func(uint64) T, val func(T) uint64) [2]float64 {
	ch := make(chan T, 64)
	var done, cw sync.WaitGroup
	sums := make([]uint64, 8)
	t := start()
	for c := 0; c < 8; c++ {
		cw.Add(1)
		go func(c int) {
			var s uint64
			for v := range ch {
				s += val(v)
				done.Done()
			}
			sums[c] = s
			cw.Done()
		}(c)
	}
	for i := uint64(0); i < n; i++ {
		done.Add(1)
		ch <- mk(i)
	}
	done.Wait()
	close(ch)
	cw.Wait()
	d := t.per(int(n))
	var s uint64
	for _, x := range sums {
		s += x
	}
	check(s, tri(n))
	return d
}
func pipe[T any](n uint64, mk func(uint64) T, val func(T) uint64) [2]float64 {
	a, b, c := make(chan T, 64), make(chan T, 64), make(chan T, 64)
	mid := func(in, out chan T) {
		var w sync.WaitGroup
		w.Add(4)
		for i := 0; i < 4; i++ {
			go func() {
				for v := range in {
					out <- v
				}
				w.Done()
			}()
		}
		go func() { w.Wait(); close(out) }()
	}
	t := start()
	go func() {
		for i := uint64(0); i < n; i++ {
			a <- mk(i)
		}
		close(a)
	}()
	mid(a, b)
	mid(b, c)
	var w sync.WaitGroup
	sums := make([]uint64, 4)
	for i := 0; i < 4; i++ {
		w.Add(1)
		go func(i int) {
			var s uint64
			for v := range c {
				s += val(v)
			}
			sums[i] = s
			w.Done()
		}(i)
	}
	w.Wait()
	d := t.per(int(n))
	check(sums[0]+sums[1]+sums[2]+sums[3], tri(n))
	return d
}
func spawn(n int, f func()) [2]float64 {
	var w sync.WaitGroup
	t := start()
	w.Add(n)
	for i := 0; i < n; i++ {
		go func() { f(); w.Done() }()
	}
	w.Wait()
	return t.per(n)
}
func main() {
	w := os.Args[1]
	heap := len(os.Args) > 2 && os.Args[2] == "heap"
	N := 0
	if len(os.Args) > 3 {
		N, _ = strconv.Atoi(os.Args[3])
	}
	d := func(x int) int {
		if N > 0 {
			return N
		}
		return x
	}
	st := func(n, cap, P, C int) [2]float64 {
		if heap {
			return stream(uint64(n), cap, P, C, mkH, valH)
		}
		return stream(uint64(n), cap, P, C, mkI, valI)
	}
	var r [2]float64
	switch w {
	case "W1":
		r = st(d(2000000), 1, 1, 1)
	case "W2":
		r = st(d(5000000), 1024, 1, 1)
	case "W3":
		if heap {
			r = fan(uint64(d(3000000)), mkH, valH)
		} else {
			r = fan(uint64(d(3000000)), mkI, valI)
		}
	case "W4":
		r = st(d(3000000), 64, 4, 4)
	case "W5":
		if heap {
			r = pipe(uint64(d(1000000)), mkH, valH)
		} else {
			r = pipe(uint64(d(1000000)), mkI, valI)
		}
	case "W6a", "W6aj":
		r = spawn(d(1000000), func() {})
	case "W6b", "W6bj":
		r = spawn(d(1000000), runtime.Gosched)
	case "W6m":
		n := d(1000000)
		ch := make(chan int)
		r0 := rss()
		for i := 0; i < n; i++ {
			go func() { <-ch }()
		}
		for i := 0; i < 5; i++ {
			runtime.Gosched()
			time.Sleep(50 * time.Millisecond)
		}
		b := (rss() - r0) / float64(n)
		r = [2]float64{b, b}
	case "W7":
		n := d(1000000)
		rnd := rand.New(rand.NewSource(1))
		var wg sync.WaitGroup
		wg.Add(n)
		t := start()
		for i := 0; i < n; i++ {
			x := time.Duration(rnd.Intn(100000)) * time.Microsecond
			go func() { time.Sleep(x); wg.Done() }()
		}
		wg.Wait()
		r = t.per(n)
	case "W7b": // timers, a thousand set at a time
		n := d(2000000)
		ts := make([]*time.Timer, 1000)
		t := start()
		for i := 0; i < n; i++ {
			if x := ts[i%1000]; x != nil {
				x.Stop()
			}
			ts[i%1000] = time.AfterFunc(time.Duration(1+i%1000)*time.Millisecond, func() {})
		}
		r = t.per(n)
	case "W7bto": // context.WithTimeout
		n := d(1000000)
		t := start()
		for i := 0; i < n; i++ {
			_, c := context.WithTimeout(context.Background(), 500*time.Millisecond)
			c()
		}
		r = t.per(n)
	case "W8", "W8x": // goroutines blocked in select on (queue, own ctx), each cancelled and running a deferred cleanup
		n := d(100000)
		ch := make(chan int)
		var wg, up sync.WaitGroup
		var mu sync.Mutex
		cl := 0
		cs := make([]context.CancelFunc, n)
		wg.Add(n)
		up.Add(n)
		for i := 0; i < n; i++ {
			ctx, c := context.WithCancel(context.Background())
			cs[i] = c
			go func() {
				defer func() { mu.Lock(); cl++; mu.Unlock(); wg.Done() }()
				up.Done()
				select {
				case <-ch:
				case <-ctx.Done():
				}
			}()
		}
		up.Wait()
		time.Sleep(20 * time.Millisecond)
		t := start()
		for _, c := range cs {
			c()
		}
		wg.Wait()
		r = t.per(n)
		check(uint64(cl), uint64(n))
	default:
		fmt.Fprintln(os.Stderr, "unsupported")
		os.Exit(2)
	}
	fmt.Printf("%.2f %.2f\n", r[0], r[1])
}
