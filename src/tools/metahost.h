/*
 * metahost.h - the parts of .NET Framework 4's hosting interfaces that MinGW-w64 does not declare
 *
 * Slot order as documented. Methods that nobody here calls are slots without a type.
 */
#ifndef HOSTMEM_TOOLS_METAHOST_H
#define HOSTMEM_TOOLS_METAHOST_H

#include <hostmem/clr.h>

typedef struct meta_host meta_host;
typedef struct runtime_info runtime_info;

/* ICLRMetaHost */
struct meta_host {
    const struct {
        HRESULT(STDMETHODCALLTYPE *QueryInterface)(meta_host *self, REFIID riid, void **object);
        ULONG(STDMETHODCALLTYPE *AddRef)(meta_host *self);
        ULONG(STDMETHODCALLTYPE *Release)(meta_host *self);
        HRESULT(STDMETHODCALLTYPE *GetRuntime)(meta_host *self, LPCWSTR version, REFIID riid, void **info);
        void *GetVersionFromFile, *EnumerateInstalledRuntimes, *EnumerateLoadedRuntimes;
        void *RequestRuntimeLoadedNotification, *QueryLegacyV2RuntimeBinding, *ExitProcess;
    } * vtable;
};

/* ICLRRuntimeInfo */
struct runtime_info {
    const struct {
        HRESULT(STDMETHODCALLTYPE *QueryInterface)(runtime_info *self, REFIID riid, void **object);
        ULONG(STDMETHODCALLTYPE *AddRef)(runtime_info *self);
        ULONG(STDMETHODCALLTYPE *Release)(runtime_info *self);
        void *GetVersionString, *GetRuntimeDirectory, *IsLoaded, *LoadErrorString, *LoadLibrary,
            *GetProcAddress;
        HRESULT(STDMETHODCALLTYPE *GetInterface)
        (runtime_info *self, REFCLSID clsid, REFIID riid, void **object);
        void *IsLoadable, *SetDefaultStartupFlags, *GetDefaultStartupFlags, *BindAsLegacyV2Runtime,
            *IsStarted;
    } * vtable;
};

static const CLSID clsid_meta_host = {
    0x9280188D, 0x0E8E, 0x4867, {0xB3, 0x0C, 0x7F, 0xA8, 0x38, 0x84, 0xE8, 0xDE}};
static const IID iid_meta_host = {
    0xD332DB9E, 0xB9B3, 0x4125, {0x82, 0x07, 0xA1, 0x48, 0x84, 0xF5, 0x32, 0x16}};
static const IID iid_runtime_info = {
    0xBD39D1D2, 0xBA2F, 0x486A, {0x89, 0xB0, 0xB4, 0xB0, 0xCB, 0x46, 0x68, 0x91}};
static const CLSID clsid_runtime_host = {
    0x90F1A06E, 0x7712, 0x4762, {0x86, 0xB5, 0x7A, 0x5E, 0xBA, 0x6B, 0xDB, 0x02}};

#endif
