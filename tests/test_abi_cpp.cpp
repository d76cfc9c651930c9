/* The C++ half of test_abi: clr.h as C++ sees it, called and implemented. */
#include <hostmem/clr.h>
#include <hostmem_clr.h>
#include <stddef.h>
#include "support/abi_list.h"
#include "support/abi_cpp.h"

namespace
{
template <class A> struct zero {
    static A get()
    {
        return A();
    }
};

template <class A> struct zero<const A &> {
    static const A &get()
    {
        static A a;
        return a;
    }
};

template <class I, class R, class... A> long call(void *object, R (STDMETHODCALLTYPE I::*method)(A...))
{
    return static_cast<long>((static_cast<I *>(object)->*method)(zero<A>::get()...));
}

class tiny_malloc : public IHostMalloc
{
  public:
    STDMETHOD(QueryInterface)(REFIID riid, void **object) override
    {
        if (!object)
            return E_POINTER;
        bool known = IsEqualIID(riid, __uuidof(IUnknown)) || IsEqualIID(riid, __uuidof(IHostMalloc));
        *object = known ? this : NULL;
        return known ? S_OK : E_NOINTERFACE;
    }
    STDMETHOD_(ULONG, AddRef)() override
    {
        return 2;
    }
    STDMETHOD_(ULONG, Release)() override
    {
        return 1;
    }
    STDMETHOD(Alloc)(SIZE_T size, EMemoryCriticalLevel level, void **memory) override
    {
        if (!memory)
            return E_POINTER;
        bool fits = level == eProcessCritical && size <= sizeof(buffer) - used;
        *memory = fits ? buffer + used : NULL;
        last = fits ? used : last;
        used += fits ? size : 0;
        return fits ? S_OK : E_OUTOFMEMORY;
    }
    STDMETHOD(DebugAlloc)
    (SIZE_T size, EMemoryCriticalLevel level, char *file, int line, void **memory) override
    {
        return file && line == 42 ? Alloc(size, level, memory) : E_INVALIDARG;
    }
    STDMETHOD(Free)(void *memory) override
    {
        if (memory != buffer + last)
            return memory ? HOST_E_INVALIDOPERATION : S_OK;
        used = last;
        return S_OK;
    }

  private:
    char buffer[64];
    SIZE_T used, last;
};

tiny_malloc tiny;
} // namespace

extern "C" IHostMalloc *abi_cpp_malloc(void)
{
    return &tiny;
}

extern "C" long abi_cpp_call(size_t n, void *object)
{
#define CALL(I, method, slot, result, count, ...)                                                            \
    if (n-- == 0)                                                                                            \
        return call(object, static_cast<result (STDMETHODCALLTYPE I::*)(__VA_ARGS__)>(&I::method));
    ABI_SLOTS(CALL)
    return -1;
}

extern "C" const IID *abi_cpp_uuidof(size_t n)
{
#define UUIDOF(I, slots, iid)                                                                                \
    if (n-- == 0)                                                                                            \
        return &__uuidof(I);
    ABI_INTERFACES(UUIDOF)
    return NULL;
}
