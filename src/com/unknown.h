/*
 * unknown.h - QueryInterface of an object with one interface
 */
#ifndef HOSTMEM_COM_UNKNOWN_H
#define HOSTMEM_COM_UNKNOWN_H

#include "com/iids.h"

/* Answers IUnknown and `own`; `object` is AddRef'ed then.  Returns S_OK, E_POINTER or E_NOINTERFACE. */
static inline HRESULT unknown_query(void *object, REFIID own, REFIID riid, void **out)
{
    if (out == NULL)
        return E_POINTER;
    *out = NULL;
    if (!IsEqualIID(riid, &iid_unknown) && !IsEqualIID(riid, own))
        return E_NOINTERFACE;
    IUnknown_AddRef((IUnknown *)object);
    *out = object;
    return S_OK;
}

#endif
